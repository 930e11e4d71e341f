-- Every (incident, pane, holder) once, whatever was sent again.
CREATE VIEW IF NOT EXISTS evidence_once AS
SELECT * FROM evidence FINAL
