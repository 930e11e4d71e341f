-- Every reject once, whatever was sent again.
CREATE VIEW IF NOT EXISTS rejects AS
SELECT * EXCEPT (revision) FROM reject_rows FINAL
