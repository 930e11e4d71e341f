-- Every transition of every incident. Rows are added and never changed.
--
-- A block that is sent twice is dropped by its token while it is among the last 1000 of the table.
-- After a long outage that window may have passed: then the repeated rows, which are equal, fall
-- together by (pipeline, incident, sequence) when parts merge. Readers who must not see a
-- repetition before that read the view `incident_events`.
-- The lifetime counts from the writing, so that history which is judged late is not dropped.
CREATE TABLE IF NOT EXISTS incident_event_rows
(
    pipeline            LowCardinality(String)        COMMENT 'the pipeline that judged, by its name in the configuration',
    incident            String                        COMMENT 'id of the incident: 32 hexadecimal digits, also the key at the receivers of pages',
    sequence            UInt32                        COMMENT 'number of the transition inside the incident: 1, 2, 3 without gaps',
    change              LowCardinality(String)        COMMENT 'opened, updated or resolved',
    reason              LowCardinality(String)        COMMENT 'why it changed: a name of the closed list in docs',
    as_of               DateTime64(6, 'UTC')          COMMENT 'the tick at which it was decided, event time',
    decided_at          DateTime64(6, 'UTC')          COMMENT 'when it was decided, wall clock',
    opened_at           DateTime64(6, 'UTC')          COMMENT 'the tick of the first transition, event time',
    kind                LowCardinality(String)        COMMENT 'what is happening: growth_to_limit, refusal_at_limit, held_open, growth_within_life, growth_across_lives, not_back',
    severity            LowCardinality(String)        COMMENT 'how loudly to speak now: notify, ticket, page',
    severity_peak       LowCardinality(String)        COMMENT 'the loudest severity so far',
    resource            LowCardinality(String)        COMMENT 'the finite resource, by its name in the configuration',
    unit                LowCardinality(String)        COMMENT 'what its units are called: connections, slots, threads, bytes',
    owner               String                        COMMENT 'who is to blame, for people: dimension and value, nobody, or unknown',
    owner_dimension     LowCardinality(String)        COMMENT 'the dimension that tells the owner from the others, such as service.name; empty for nobody and unknown',
    owner_value         String                        COMMENT 'its value; empty for nobody and unknown',
    since               DateTime64(6, 'UTC')          COMMENT 'when it began, event time',
    level               UInt64                        COMMENT 'units held at as_of, by everybody',
    usable              Nullable(UInt64)              COMMENT 'units that can be held: limit minus reserved; NULL while no limit is known',
    owner_level         Nullable(UInt64)              COMMENT 'units held at as_of by the owner',
    owner_level_before  Nullable(UInt64)              COMMENT 'units that the owner held at since',
    growth_per_minute   Nullable(Float64)             COMMENT 'growth of the level, units per minute',
    exhaustion_from     Nullable(DateTime64(6, 'UTC')) COMMENT 'start of the 80 % interval in which the usable units run out (10 % quantile)',
    exhaustion_to       Nullable(DateTime64(6, 'UTC')) COMMENT 'end of that interval (90 % quantile); NULL if it lies beyond what can be said',
    release_service     LowCardinality(String)        COMMENT 'program of the newest release that precedes since; empty if none',
    release_version     String                        COMMENT 'that release, if the deploy event said it',
    deployed_at         Nullable(DateTime64(6, 'UTC')) COMMENT 'when it was rolled out, event time',
    refused             UInt64                        COMMENT 'requests refused from since to as_of',
    doubts              Array(String)                 COMMENT 'why the numbers may be off; empty if nothing is known to be missing',
    headline            String                        COMMENT 'what, how far, since when, until when, who: one or two sentences',
    advice              String                        COMMENT 'what to do next',
    detail              String                        COMMENT 'what only incidents of this kind say, as JSON; empty if nothing',
    proof               String                        COMMENT 'SQL over the tables of evidence that reproduces the numbers; empty while there is no evidence',
    written_at          DateTime('UTC') DEFAULT now() COMMENT 'when the row was written, server time; its lifetime counts from here'
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(as_of)
ORDER BY (pipeline, incident, sequence)
TTL written_at + INTERVAL 2 YEAR
SETTINGS non_replicated_deduplication_window = 1000, ttl_only_drop_parts = 1
COMMENT 'All transitions of incidents; read through incident_events'
