"""Single sign-on with OpenID Connect.

- `configuration` reads the identity providers from the operator's file.
- `client` talks to a provider and checks its answers.
- `issuers` reads the metadata and the keys of providers, for `client` and `token_exchange`.
- `role_rules` are the rules of scopes for roles. `roles` applies them at each sign-in.
- `token_rules` and `token_exchange` give pipelines API tokens for the ID tokens of their providers.
- `identities` are the accounts of people at providers: use cases to sign in, link and unlink.
"""
