-- Every order to a sink, in its last state. Orders of what is told here are among them.
--
-- A row is written again whenever its state changes; the highest revision stays, in whatever
-- order the rows arrive. Until they have fallen together, the view `deliveries` shows that one.
-- The columns of the sorting key never change for an order. More of them stand there than its
-- place in the outbox, because a data directory that is made anew counts from zero again.
-- The lifetime counts from the writing, so that history which is judged late is not dropped.
CREATE TABLE IF NOT EXISTS delivery_rows
(
    pipeline     LowCardinality(String)  COMMENT 'the pipeline that judged, by its name in the configuration',
    delivery     UInt64                  COMMENT 'its place in the outbox',
    sink         LowCardinality(String)  COMMENT 'the receiver or table sink, by its name in the configuration',
    key          String                  COMMENT 'the name of the order at the receiver: the incident''s id for pages',
    action       LowCardinality(String)  COMMENT 'trigger, update or resolve; rows for a table sink',
    incident     String                  COMMENT 'the incident that it tells: incidents.incident; empty for rows',
    sequence     Nullable(UInt32)        COMMENT 'the transition that it tells: incident_events.sequence; NULL for rows',
    ordered_at   DateTime64(6, 'UTC')    COMMENT 'the tick that ordered it, event time',
    state        LowCardinality(String)  COMMENT 'pending, held, accepted, refused, superseded',
    attempts     Nullable(UInt32)        COMMENT 'attempts recorded so far; NULL when it is settled',
    answered_at  Nullable(DateTime64(6, 'UTC')) COMMENT 'when its answer was recorded, wall clock; NULL before',
    answer       String                  COMMENT 'what the receiver answered, or the error of the last attempt',
    revision     UInt64                  COMMENT 'which of two rows of one order is newer: the higher one',
    written_at   DateTime('UTC') DEFAULT now() COMMENT 'when the row was written, server time; its lifetime counts from here'
)
ENGINE = ReplacingMergeTree(revision)
PARTITION BY toYYYYMM(ordered_at)
ORDER BY (pipeline, ordered_at, delivery, sink, key, action)
TTL written_at + INTERVAL 2 YEAR
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Orders to sinks and what became of them; read through deliveries'
