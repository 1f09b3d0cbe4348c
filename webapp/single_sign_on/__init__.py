"""Single sign-on with OpenID Connect.

- `configuration` reads the identity providers from the operator's file.
- `client` sends people to a provider and checks its responses.
- `issuers` reads the metadata and the keys of providers, for `client` and `token_exchange`.
- `role_rules` manages the rules that grant roles. `roles` applies these rules at each sign-in.
- `token_exchange` exchanges the ID tokens of pipelines for API tokens. `token_rules` manages the
  rules for these exchanges.
- `identities` signs people in with their accounts at providers, and links and unlinks accounts.
"""
