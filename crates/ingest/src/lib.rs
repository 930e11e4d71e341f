//! From bytes to ticks of rows: sources, parsers, merge.
