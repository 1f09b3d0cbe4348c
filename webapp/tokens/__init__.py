"""API tokens: programs use them to act for a person or for a scope.

A personal token acts for a person, with at most the role that the person holds at the scope of the
token. A token of a scope acts for the service person of the scope. A service person is a row of the
table `person`, so that images, jobs and the audit log can refer to it. Nobody can sign in as a
service person.
"""
