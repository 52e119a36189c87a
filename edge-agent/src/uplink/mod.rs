//! Delivers the outbox to the IISPP over MQTT.
