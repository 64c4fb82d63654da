"""How right the rules are on visits with gold marks: `python -m fieldcoach.coach.bench FOLDER PLAYBOOKS`.

Prints one line of JSON, of which `fieldcoach bench coach` makes the table. No bus, no clock but the script's.
"""
