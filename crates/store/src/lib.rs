//! What survives a power cut: checkpoint, journal, incident book, outbox, evidence segments.
