"""Everything that uses SUMO: networks, human drivers, simulation, environment, rendering."""
