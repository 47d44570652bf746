"""Hosts, servers and loads for the integration and end-to-end tests. See network.py first."""
