"""API tokens: programs use them to act for a person or for a scope.

A personal token acts for a person, with at most the role that the person holds at the scope of the
token. A token of a scope acts for the service person of the scope. This is a row of the table
`person` to which images, jobs and the audit log can refer. A service person cannot sign in.
"""
