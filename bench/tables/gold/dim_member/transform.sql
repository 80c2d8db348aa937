-- One row per change of a member: what versions are built from.
SELECT
  member_id,
  changed_at AS valid_from,
  name,
  segment,
  city,
  is_deleted AS _deleted,
  _row_hash AS _sequence
FROM bronze.members
