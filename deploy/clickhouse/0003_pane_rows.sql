-- The proof of incidents: who held how many units over time, in panes of ten seconds.
--
-- An incident has at most one row per pane and holder. The level at the end of a pane is the sum
-- over the holders of the newest `held` of each. Repetitions fall together by the sorting key; the view `panes` hides
-- them before that. The lifetime counts from the writing, so that history which is judged late is
-- not dropped.
CREATE TABLE IF NOT EXISTS pane_rows
(
    pipeline             LowCardinality(String) COMMENT 'the pipeline that judged, by its name in the configuration',
    incident             String                 COMMENT 'the incident that the row proves: incidents.incident',
    pane                 DateTime64(6, 'UTC')   COMMENT 'start of the pane, event time; a pane is 10 seconds wide',
    resource             LowCardinality(String) COMMENT 'the finite resource, by its name in the configuration',
    opened               UInt64                 COMMENT 'units opened during the pane',
    closed               UInt64                 COMMENT 'units closed during the pane',
    refused              UInt64                 COMMENT 'requests refused during the pane',
    held                 UInt64                 COMMENT 'units held at the end of the pane',
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
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(pane)
ORDER BY (pipeline, incident, pane, holder_key)
TTL written_at + INTERVAL 90 DAY
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'Use of resources around incidents, per holder and 10 s pane; read through panes'
