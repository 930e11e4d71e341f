-- Every incident once, in its current state, with the moment of its end.
CREATE VIEW IF NOT EXISTS incidents AS
SELECT
    *,
    toBool(change != 'resolved') AS is_open,
    if(change = 'resolved', as_of, NULL) AS resolved_at
FROM incident_rows FINAL
