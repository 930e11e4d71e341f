-- Every transition once, whatever was sent again.
CREATE VIEW IF NOT EXISTS incident_events AS
SELECT * EXCEPT written_at FROM incident_event_rows FINAL
