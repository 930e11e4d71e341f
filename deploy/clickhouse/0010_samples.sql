-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS samples AS
SELECT * FROM sample_rows FINAL
