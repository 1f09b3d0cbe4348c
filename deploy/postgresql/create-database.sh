#!/bin/sh
# Create the database of the application, and the role that owns it. The image of PostgreSQL runs
# this script once, when it has created an empty cluster.
#
# The role is no superuser, and may connect to no other database.
set -eu
psql --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --username=postgres --dbname=postgres <<'SQL'
-- psql reads the file itself, so the password is in no list of processes.
\set password `cat /run/secrets/database_password`
CREATE ROLE registry LOGIN PASSWORD :'password';
CREATE DATABASE registry OWNER registry ENCODING 'UTF8' TEMPLATE template0;
REVOKE ALL ON DATABASE registry FROM PUBLIC;
REVOKE CONNECT ON DATABASE postgres, template1 FROM PUBLIC;
SQL
