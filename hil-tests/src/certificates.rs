//! Certificates for the parties of a test: an authority, the broker's, and one per client. Valid for
//! loopback addresses only.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};

/// A folder with `ca.pem`, and `<name>.pem` and `<name>.key` of every party.
#[derive(Debug)]
pub struct Certificates {
    folder: PathBuf,
    authority: CertifiedIssuer<'static, KeyPair>,
}

/// The files of one party.
#[derive(Clone, Debug)]
pub struct Party {
    /// The authority's certificate.
    pub ca: PathBuf,
    /// The party's certificate; its common name is the party's name.
    pub certificate: PathBuf,
    /// The party's key, readable by the owner only.
    pub key: PathBuf,
}

impl Certificates {
    /// Makes an authority in `folder`, and the server certificate `broker` for 127.0.0.1, ::1 and localhost.
    pub fn new(folder: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
        let mut params = named("test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;
        fs::write(folder.join("ca.pem"), authority.pem())?;
        let certificates = Self { folder: folder.to_owned(), authority };
        let mut server = named("broker");
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        server.subject_alt_names = vec![
            SanType::IpAddress([127, 0, 0, 1].into()),
            SanType::IpAddress(std::net::Ipv6Addr::LOCALHOST.into()),
            SanType::DnsName("localhost".try_into()?),
        ];
        certificates.write("broker", &server)?;
        Ok(certificates)
    }

    /// Makes the client certificate of a party.
    pub fn client(&self, name: &str) -> anyhow::Result<Party> {
        let mut params = named(name);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.write(name, &params)
    }

    /// The broker's own files.
    pub fn broker(&self) -> Party {
        self.party("broker")
    }

    fn write(&self, name: &str, params: &CertificateParams) -> anyhow::Result<Party> {
        use std::io::Write;
        use std::os::unix::fs::OpenOptionsExt;
        let key = KeyPair::generate()?;
        let certificate = params.signed_by(&key, &self.authority)?;
        let party = self.party(name);
        fs::write(&party.certificate, certificate.pem())?;
        let mut options = fs::File::options();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&party.key)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        Ok(party)
    }

    fn party(&self, name: &str) -> Party {
        Party {
            ca: self.folder.join("ca.pem"),
            certificate: self.folder.join(format!("{name}.pem")),
            key: self.folder.join(format!("{name}.key")),
        }
    }
}

/// rcgen's default validity is from 1975 to 4096: a test does not depend on the machine's clock.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}
