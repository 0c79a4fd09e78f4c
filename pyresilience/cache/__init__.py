"""The front door: what is looked up before the pipeline runs at all."""
