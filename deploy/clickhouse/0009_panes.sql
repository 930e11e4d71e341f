-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS panes AS
SELECT * EXCEPT written_at FROM pane_rows FINAL
