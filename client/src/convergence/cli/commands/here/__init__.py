"""What concerns this machine: profiles, a doctor, raw calls, the suite on a laptop."""
