"""HTTP routes, one module a resource; each is thin: read the request, call a service, shape the answer.

Knows the services and FastAPI; must not know SQL, filters, indexes or torch. ``app.main.create_app`` mounts them.
"""
