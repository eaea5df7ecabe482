"""The application: settings, store, job engine, services, HTTP API and command line; wires the other four packages.

Inside, arrows run downward too: ``settings`` -> ``store`` -> ``jobs`` -> ``services`` -> ``api``, ``cli`` -> ``main``.
"""
