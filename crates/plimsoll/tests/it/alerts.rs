//! The Prometheus rules name our metrics by their names.

use plimsoll::metric;

#[test]
fn the_rules_name_only_metrics_that_exist() {
    let rules = include_str!("../../../../dashboards/alerts.yaml");
    let is_name = |byte: char| byte.is_ascii_lowercase() || byte == '_';
    let mut names = 0;
    for word in rules.split(|byte| !is_name(byte)).filter(|it| it.starts_with("plimsoll_")) {
        let name = word.strip_suffix("_bucket").unwrap_or(word);
        let known = metric::ALL.iter().any(|metric| metric.name == name);
        assert!(known, "dashboards/alerts.yaml names `{word}`, which is not served");
        names += 1;
    }
    assert!(names > 12, "{names}");
}
