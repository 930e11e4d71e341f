//! The names by which fields of JSON lines are taken for what they are. Every list is in the order
//! in which its names are preferred.

/// When it was.
pub(super) const TIME: &[&str] = &[
    "time",
    "ts",
    "timestamp",
    "@timestamp",
    "datetime",
    "date",
    "event_time",
    "created_at",
    "at",
    "when",
    "t",
];

/// How many units are in use.
pub(super) const USED: &[&str] = &[
    "used",
    "in_use",
    "active",
    "active_connections",
    "connections_active",
    "current_connections",
    "open_connections",
    "num_connections",
    "numbackends",
    "connections",
    "busy",
    "checked_out",
    "borrowed",
    "held",
    "acquired",
    "open",
];

/// Ends of longer names that mean the same.
pub(super) const USED_ENDS: &[&str] = &["_in_use", "_active", "_busy", "_used"];

/// How many units there are.
pub(super) const LIMIT: &[&str] = &[
    "limit",
    "max",
    "max_connections",
    "maximum",
    "capacity",
    "pool_size",
    "max_pool_size",
    "maximum_pool_size",
];

/// Ends of longer names that mean the same.
pub(super) const LIMIT_ENDS: &[&str] = &["_max", "_limit"];

/// Names of units in use are not about these.
pub(super) const NOT_UNITS: &[&str] =
    &["mem", "cpu", "percent", "pct", "ratio", "disk", "heap", "byte", "rss", "load"];

/// How much memory a process has.
pub(super) const MEMORY: &[&str] = &[
    "rss",
    "memory_rss",
    "resident",
    "working_set",
    "memory_working_set",
    "memory",
    "memory_usage",
    "memory_used",
    "mem",
    "mem_used",
];

/// Ends of names that say the unit, as a map names it.
pub(super) const BYTES: &[(&str, &str)] = &[
    ("_bytes", "bytes"),
    ("_kib", "KiB"),
    ("_kb", "kB"),
    ("_mib", "MiB"),
    ("_mb", "MB"),
    ("_gib", "GiB"),
    ("_gb", "GB"),
];

/// Who holds: dimension to names.
pub(super) const HOLDER: &[(&str, &[&str])] = &[
    (
        "service.name",
        &[
            "service.name",
            "service",
            "service_name",
            "application_name",
            "application",
            "app",
            "app_name",
            "component",
        ],
    ),
    ("service.version", &["service.version", "version", "release"]),
    (
        "service.instance.id",
        &[
            "service.instance.id",
            "instance",
            "instance_id",
            "pod",
            "pod_name",
            "container",
            "replica",
        ],
    ),
    ("host.name", &["host.name", "host", "hostname", "node"]),
    (
        "tenant",
        &[
            "tenant",
            "tenant_id",
            "customer",
            "customer_id",
            "account",
            "organization",
            "who",
            "owner",
            "holder",
            "caller",
        ],
    ),
    ("db.namespace", &["db.namespace", "database", "dbname", "datname", "db"]),
    ("user.name", &["user.name", "user", "username", "usename"]),
    (
        "client.address",
        &["client.address", "client_addr", "client_ip", "remote_addr", "remote_host", "client"],
    ),
];

/// Which resource it is about.
pub(super) const RESOURCE: &[&str] = &["resource", "pool", "pool_name", "datasource"];

/// What happened.
pub(super) const EVENT: &[&str] = &[
    "event",
    "event_type",
    "action",
    "operation",
    "op",
    "what",
    "type",
    "kind",
    "state",
    "status",
];

/// What happened to a unit: the event of a session to the values that mean it.
pub(super) const SESSION_EVENTS: &[(&str, &[&str])] = &[
    (
        "opened",
        &[
            "open",
            "opened",
            "connect",
            "connected",
            "acquire",
            "acquired",
            "checkout",
            "checked_out",
            "borrow",
            "borrowed",
            "accept",
            "accepted",
        ],
    ),
    (
        "closed",
        &[
            "close",
            "closed",
            "disconnect",
            "disconnected",
            "release",
            "released",
            "checkin",
            "checked_in",
            "return",
            "returned",
        ],
    ),
    ("refused", &["refuse", "refused", "reject", "rejected", "exhausted"]),
    ("started", &["start", "started", "begin", "began"]),
    ("finished", &["finish", "finished", "end", "ended", "done", "complete", "completed"]),
];

/// Which unit.
pub(super) const SESSION: &[&str] = &[
    "session_id",
    "session",
    "connection_id",
    "conn_id",
    "connection",
    "conn",
    "request_id",
    "request",
    "call_id",
    "call",
    "id",
    "sid",
];

/// How long the unit was held, each with its unit.
pub(super) const AGE: &[(&str, &str)] = &[
    ("age", "s"),
    ("duration", "s"),
    ("took", "s"),
    ("elapsed", "s"),
    ("age_s", "s"),
    ("duration_s", "s"),
    ("age_ms", "ms"),
    ("duration_ms", "ms"),
    ("took_ms", "ms"),
    ("elapsed_ms", "ms"),
];

/// Why a unit was refused or closed.
pub(super) const REASON: &[&str] = &["reason", "cause"];

/// `maxPoolSize` and `max-pool-size` as `max_pool_size`.
pub(super) fn plain(name: &str) -> String {
    let mut plain = String::with_capacity(name.len() + 4);
    let mut before = '_';
    for character in name.chars() {
        if character.is_ascii_uppercase()
            && (before.is_ascii_lowercase() || before.is_ascii_digit())
        {
            plain.push('_');
        }
        plain.push(if character == '-' { '_' } else { character.to_ascii_lowercase() });
        before = character;
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_in_one_spelling() {
        for name in ["maxPoolSize", "max-pool-size", "MAX_POOL_SIZE", "MaxPoolSize"] {
            assert_eq!(plain(name), "max_pool_size");
        }
    }
}
