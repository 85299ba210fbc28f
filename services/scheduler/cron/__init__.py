"""When a schedule fires: expressions, the clock changes of time zones, and what becomes of missed fire times. Pure."""
