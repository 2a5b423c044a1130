"""The same engines behind a queue: RabbitMQ or Kafka, results in a store."""
