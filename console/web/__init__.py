"""What every page needs: sessions, guards, rendering, and what a screen is."""
