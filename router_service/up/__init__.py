"""`router-service up`: service, Envoy and, where keys are missing, demo providers; started and stopped together.

arrange   which providers are real, which have a stand-in, which are left out   ┐ pure
screen    what the person in front of it reads                                  ┘
ports     that they are free, before anything starts
envoy     the Envoy process
run       all of it in order, and back
"""
