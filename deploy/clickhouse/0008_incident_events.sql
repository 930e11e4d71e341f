-- Every transition once, whatever was sent again.
CREATE VIEW IF NOT EXISTS incident_events AS
SELECT * FROM incident_event_rows FINAL
