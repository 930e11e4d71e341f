-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS samples AS
SELECT * EXCEPT written_at FROM sample_rows FINAL
