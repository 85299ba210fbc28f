"""When a schedule fires: cron expressions, daylight saving, and missed fire times. Pure functions."""
