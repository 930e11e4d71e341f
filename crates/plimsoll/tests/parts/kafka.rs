//! A real Kafka broker: one JVM that is broker and controller (KRaft), on two loopback ports.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use rdkafka::admin::{AdminClient, AdminOptions, NewPartitions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use tempfile::TempDir;

use super::certificate::Certificate;
use super::process::{self, Orphan, Process};
use super::{cached, free_ports};

/// The folder of the parts' cache with Kafka's jars; `install` beside this file makes it.
const JARS: &str = "kafka-4.1.1";

/// How long a broker may take to start on a busy machine.
const PATIENCE: Duration = Duration::from_secs(90);

/// Any 16 bytes in URL-safe base64 name a cluster.
const CLUSTER: &str = "cGxpbXNvbGxjbHVzdGVyMQ";

/// A broker with topics of replication factor one. Topics are never made by themselves.
pub struct KafkaPart {
    process: Option<Process>,
    directory: TempDir,
    jars: PathBuf,
    port: u16,
    secure_port: u16,
}

/// The account that a [`KafkaPart::secured`] broker knows.
pub const ACCOUNT: (&str, &str) = ("plimsoll", "right-password");

impl KafkaPart {
    /// Formats a storage directory and starts a broker on it.
    pub async fn start() -> Result<KafkaPart> {
        KafkaPart::start_with(|_, _| String::new()).await
    }

    /// The same, and at [`KafkaPart::secure_bootstrap`] with TLS and SASL/PLAIN for [`ACCOUNT`].
    /// The second value is the file with the authority's certificate.
    pub async fn secured() -> Result<(KafkaPart, PathBuf)> {
        let kafka = KafkaPart::start_with(secure_properties).await?;
        let ca = kafka.directory.path().join("ca.pem");
        Ok((kafka, ca))
    }

    async fn start_with(more: impl Fn(&Path, [u16; 3]) -> String) -> Result<KafkaPart> {
        let jars = cached(JARS)?.join("lib");
        let directory = TempDir::with_prefix("plimsoll-kafka-")?;
        let ports = free_ports(3)?;
        let properties = directory.path().join("server.properties");
        // Of a property that stands twice the last one counts.
        let text = self::properties(directory.path(), ports[0], ports[1])
            + &more(directory.path(), [ports[0], ports[1], ports[2]]);
        std::fs::write(&properties, text)?;
        let (process, port, secure_port) = (None, ports[0], ports[2]);
        let mut kafka = KafkaPart { process, directory, jars, port, secure_port };
        let mut format = kafka.java("kafka.tools.StorageTool")?;
        format.args(["format", "-t", CLUSTER, "-c"]).arg(&properties);
        process::run("kafka.tools.StorageTool", &mut format)?;
        kafka.restart().await?;
        Ok(kafka)
    }

    /// `host:port` of the broker. It stays the same over restarts.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `host:port` where it asks for the account.
    pub fn secure_bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.secure_port)
    }

    /// Creates a topic; it can be produced to when this returns.
    pub async fn create_topic(&self, name: &str, partitions: i32) -> Result<()> {
        let topic = NewTopic::new(name, partitions, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(Duration::from_secs(20)));
        let answers = self.admin()?.create_topics([&topic], &options).await?;
        for answer in answers {
            answer.map_err(|(name, code)| anyhow!("cannot create topic {name}: {code}"))?;
        }
        Ok(())
    }

    /// Gives a topic more partitions, `count` in all.
    pub async fn add_partitions(&self, topic: &str, count: usize) -> Result<()> {
        let more = NewPartitions::new(topic, count);
        let answers = self.admin()?.create_partitions([&more], &AdminOptions::new()).await?;
        for answer in answers {
            answer.map_err(|(name, code)| anyhow!("cannot add partitions to {name}: {code}"))?;
        }
        Ok(())
    }

    /// Deletes what stands before `offset`, as retention does.
    pub async fn delete_records(&self, topic: &str, partition: i32, offset: i64) -> Result<()> {
        let mut until = TopicPartitionList::new();
        until.add_partition_offset(topic, partition, Offset::Offset(offset))?;
        let answer = self.admin()?.delete_records(&until, &AdminOptions::new()).await?;
        for element in answer.elements() {
            element.error().with_context(|| format!("cannot delete records of {topic}"))?;
        }
        Ok(())
    }

    /// `kill -9`. The storage stays; [`KafkaPart::restart`] opens it again.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Ends the broker in order.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.end("TERM", Duration::from_secs(20));
        }
    }

    /// Starts the broker again on its storage and ports.
    pub async fn restart(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "the broker runs already");
        let output = self.directory.path().join("output");
        let mut command = self.java("kafka.Kafka")?;
        command.arg(self.directory.path().join("server.properties"));
        let mut process = Process::start("Kafka", &mut command, &output)?;
        process.wait_for(&output, "Kafka Server started", PATIENCE).await?;
        self.process = Some(process);
        Ok(())
    }

    fn java(&self, class: &str) -> Result<Command> {
        let java = Path::new("/usr/bin/java");
        ensure!(java.exists(), "Java is not installed; run `.ci/install`");
        let mut command = process::command(java, None, Orphan::Kill);
        // A short life on few cores: the plain collector and the quick compiler start sooner.
        command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp"]);
        command.arg(self.jars.join("*")).arg(class);
        Ok(command)
    }

    fn admin(&self) -> Result<AdminClient<DefaultClientContext>> {
        Ok(ClientConfig::new().set("bootstrap.servers", self.bootstrap()).create()?)
    }
}

fn secure_properties(directory: &Path, [broker, controller, secure]: [u16; 3]) -> String {
    let Certificate { certificate, key, .. } = Certificate::make(directory);
    let read = |path: &Path| std::fs::read_to_string(path).expect("openssl wrote it");
    let store = directory.join("keystore.pem");
    std::fs::write(&store, read(&key) + &read(&certificate)).expect("the folder is ours");
    let (store, (user, password)) = (store.display(), ACCOUNT);
    format!(
        "listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller},SECURE://127.0.0.1:{secure}
advertised.listeners=BROKER://127.0.0.1:{broker},SECURE://127.0.0.1:{secure}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT,SECURE:SASL_SSL
listener.name.secure.ssl.keystore.type=PEM
listener.name.secure.ssl.keystore.location={store}
sasl.enabled.mechanisms=PLAIN
listener.name.secure.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_{user}=\"{password}\";
"
    )
}

fn properties(directory: &Path, broker: u16, controller: u16) -> String {
    let storage = directory.join("storage");
    let storage = storage.display();
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners=BROKER://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=BROKER://127.0.0.1:{broker}
listener.security.protocol.map=BROKER:PLAINTEXT,CONTROLLER:PLAINTEXT
inter.broker.listener.name=BROKER
controller.listener.names=CONTROLLER
log.dirs={storage}
auto.create.topics.enable=false
offsets.topic.num.partitions=4
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
"
    )
}
