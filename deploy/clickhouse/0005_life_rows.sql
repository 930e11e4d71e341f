-- The proof of incidents: lives of instances, as they were known at the decision.
--
-- Repetitions fall together by the sorting key; the view `lives` hides them before that. The
-- lifetime counts from the writing, so that history which is judged late is not dropped.
CREATE TABLE IF NOT EXISTS life_rows
(
    pipeline             LowCardinality(String) COMMENT 'the pipeline that judged, by its name in the configuration',
    incident             String                 COMMENT 'the incident that the row proves: incidents.incident',
    resource             LowCardinality(String) COMMENT 'the finite resource, by its name in the configuration',
    started_at           DateTime64(6, 'UTC')   COMMENT 'when the life began, or was first seen, event time',
    start_known          Bool                   COMMENT 'whether started_at is its beginning',
    ended_at             Nullable(DateTime64(6, 'UTC')) COMMENT 'when it ended, event time; NULL while it lives',
    cause                LowCardinality(String) COMMENT 'why it ended; empty while it lives',
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
PARTITION BY toYYYYMM(started_at)
ORDER BY (pipeline, incident, resource, started_at, holder_key)
TTL written_at + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Lives of instances around incidents; read through lives'
