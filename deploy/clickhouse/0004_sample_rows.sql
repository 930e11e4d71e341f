-- The proof of incidents: measured values, and floors and means that ledgers made of them.
--
-- Repetitions fall together by the sorting key; the view `samples` hides them before that. The
-- lifetime counts from the writing, so that history which is judged late is not dropped.
CREATE TABLE IF NOT EXISTS sample_rows
(
    pipeline             LowCardinality(String) COMMENT 'the pipeline that judged, by its name in the configuration',
    incident             String                 COMMENT 'the incident that the row proves: incidents.incident',
    time                 DateTime64(6, 'UTC')   COMMENT 'when it was measured, event time',
    resource             LowCardinality(String) COMMENT 'the finite resource, by its name in the configuration',
    metric               LowCardinality(String) COMMENT 'what was measured: memory, limit',
    value                Float64                COMMENT 'the value, in the unit of the next column',
    unit                 LowCardinality(String) COMMENT 'the unit of the value: bytes',
    tenant               LowCardinality(String) COMMENT 'tenant of the holder; empty if unknown, as in the seven columns below',
    service_name         LowCardinality(String) COMMENT 'service.name of the holder: PostgreSQL application_name',
    service_version      LowCardinality(String) COMMENT 'service.version of the holder',
    service_instance_id  String                 COMMENT 'service.instance.id of the holder',
    host_name            LowCardinality(String) COMMENT 'host.name of the holder',
    db_namespace         LowCardinality(String) COMMENT 'db.namespace: the database inside the server',
    user_name            LowCardinality(String) COMMENT 'user.name: the account',
    client_address       String                 COMMENT 'client.address: where the holder connects from, without port',
    holder_key           UInt64                 COMMENT 'XXH3-64 of the eight columns above; a lookup key, not shown to people',
    written_at           DateTime('UTC') DEFAULT now() COMMENT 'when the row was written, server time; its lifetime counts from here'
)
ENGINE = ReplacingMergeTree(written_at)
PARTITION BY toYYYYMM(time)
ORDER BY (pipeline, incident, resource, metric, time, holder_key)
TTL written_at + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Values around incidents; read through samples'
