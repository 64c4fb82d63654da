"""The coach: playbook rules over a visit's transcript; cues, checklist, order lines and summary."""
