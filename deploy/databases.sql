-- Beside the database `dagster`: the catalogue of DuckLake, and what workers share (HARVEST_STATE).
CREATE DATABASE lake;
CREATE DATABASE state;
