-- Deploys that run several things: what each part was pinned to, as JSON; the text to be
-- replayed, sealed; and which part failed.
ALTER TABLE deploys ADD COLUMN pin_parts TEXT;
ALTER TABLE deploys ADD COLUMN pin_plan BLOB;
ALTER TABLE deploys ADD COLUMN failed_part TEXT;
