-- Every row of evidence once, whatever was sent again.
CREATE VIEW IF NOT EXISTS panes AS
SELECT * FROM pane_rows FINAL
