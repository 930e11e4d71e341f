-- Records that could not be used, as far as they were kept.
--
-- A row is written again if another record stands in the place of one that was rejected; the
-- highest revision stays. Until they have fallen together, the view `rejects` shows that one.
-- The rows carry no time but that of the writing, so there are no partitions.
CREATE TABLE IF NOT EXISTS reject_rows
(
    pipeline       LowCardinality(String)  COMMENT 'the pipeline that judged, by its name in the configuration',
    source         LowCardinality(String)  COMMENT 'the source, by its name in the configuration, or its number if only the data directory is known',
    partition      UInt32                  COMMENT 'the partition of the source',
    record_offset  Int64                   COMMENT 'offset of the record in its topic, or the byte at which its line begins in its file',
    reason         LowCardinality(String)  COMMENT 'why: a name of the closed list in docs',
    detail         String                  COMMENT 'what exactly is wrong',
    excerpt        String                  COMMENT 'its first bytes, made printable',
    revision       UInt64                  COMMENT 'which of two rows of one place is newer: the higher one',
    written_at     DateTime('UTC') DEFAULT now() COMMENT 'when the row was written, server time; its lifetime counts from here'
)
ENGINE = ReplacingMergeTree(revision)
ORDER BY (pipeline, source, partition, record_offset, reason)
TTL written_at + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Records that could not be used; read through rejects'
