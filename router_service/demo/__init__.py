"""A provider that is not one: what stands in where no provider keys are set, and says so in every answer."""
