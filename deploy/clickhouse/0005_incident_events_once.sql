-- Every transition once, whatever was sent again.
CREATE VIEW IF NOT EXISTS incident_events_once AS
SELECT * FROM incident_events FINAL
