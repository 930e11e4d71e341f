-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS lives AS
SELECT * EXCEPT written_at FROM life_rows FINAL
