//! Sinks: ClickHouse and receivers of pages.
