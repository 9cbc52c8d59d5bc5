"""All that knows SUMO: networks, human drivers, the simulation, the environment, rendering."""
