"""What the API answers, as pydantic models, one module a resource: the source of the OpenAPI document's answers.

Services answer with plain dictionaries; these models describe them and do not touch them. Routes name theirs with
``responses=gives(Model)``. Extra fields are forbidden, and a test holds the real answers of a started service to them.
"""
