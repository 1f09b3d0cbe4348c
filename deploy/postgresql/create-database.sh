#!/bin/sh
# Create the database of the application, and the role that owns it. The container image of PostgreSQL
# runs this script once, after it has created an empty cluster.
#
# The role is not a superuser, and cannot connect to other databases.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
-- psql itself reads the file, so the list of processes does not show the password.
\set password `cat /run/secrets/database_password`
CREATE ROLE registry LOGIN PASSWORD :'password';
CREATE DATABASE registry OWNER registry ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL
