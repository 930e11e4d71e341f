-- Every order once, in its last state.
CREATE VIEW IF NOT EXISTS deliveries AS
SELECT * EXCEPT (revision) FROM delivery_rows FINAL
