-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS lives AS
SELECT * FROM life_rows FINAL
