-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS sessions AS
SELECT * FROM session_rows FINAL
