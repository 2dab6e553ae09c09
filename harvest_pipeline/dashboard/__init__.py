"""The dashboard of an account: one HTML file that needs no network, charts and tables of models."""
