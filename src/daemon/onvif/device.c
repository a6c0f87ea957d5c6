/* SPDX-License-Identifier: BSD-2-Clause */
/* The device service (ONVIF Core Specification, clause 8). */
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/onvif/call.h"
#include "daemon/onvif/identity.h"

static const struct config *config_of(const struct call *call)
{
	return call->options->cameras->config;
}

/* --- what it is, and what it can --- */

static void add_time(struct markup *out, const char *name, const struct tm *tm)
{
	markup_add(out,
		   "<tt:%s><tt:Time><tt:Hour>%d</tt:Hour><tt:Minute>%d</tt:Minute>"
		   "<tt:Second>%d</tt:Second></tt:Time><tt:Date><tt:Year>%d</tt:Year>"
		   "<tt:Month>%d</tt:Month><tt:Day>%d</tt:Day></tt:Date></tt:%s>",
		   name, tm->tm_hour, tm->tm_min, tm->tm_sec, tm->tm_year + 1900, tm->tm_mon + 1,
		   tm->tm_mday, name);
}

/* Clients make the times of their tokens by this. */
static enum call_fault get_system_date_and_time(struct call *call)
{
	time_t now = time(NULL);
	struct tm tm;

	gmtime_r(&now, &tm);
	markup_add(&call->out, "<tds:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType>"
			       "<tt:DaylightSavings>false</tt:DaylightSavings>"
			       "<tt:TimeZone><tt:TZ>UTC0</tt:TZ></tt:TimeZone>");
	add_time(&call->out, "UTCDateTime", &tm);
	add_time(&call->out, "LocalDateTime", &tm);
	markup_add(&call->out, "</tds:SystemDateAndTime>");
	return CALL_OK;
}

static enum call_fault get_device_information(struct call *call)
{
	char uuid[IDENTITY_UUID_MAX];

	identity_uuid(uuid, config_of(call));
	markup_add(
		&call->out,
		"<tds:Manufacturer>camcast</tds:Manufacturer><tds:Model>camcast</tds:Model>"
		"<tds:FirmwareVersion>%s</tds:FirmwareVersion>"
		"<tds:SerialNumber>%s</tds:SerialNumber><tds:HardwareId>camcast</tds:HardwareId>",
		CAMCAST_VERSION, uuid);
	return CALL_OK;
}

/* RTP over its own TCP connection is not there; recorders that ask for UDP alone where it is not
 * offered try nothing at all. */
static void add_streaming(struct markup *out)
{
	markup_add(out, "<tt:StreamingCapabilities><tt:RTPMulticast>false</tt:RTPMulticast>"
			"<tt:RTP_TCP>true</tt:RTP_TCP><tt:RTP_RTSP_TCP>true</tt:RTP_RTSP_TCP>"
			"</tt:StreamingCapabilities>");
}

static enum call_fault get_capabilities(struct call *call)
{
	struct markup *out = &call->out;
	bool discovers = config_of(call)->onvif.discovery;

	markup_add(out,
		   "<tds:Capabilities><tt:Device><tt:XAddr>%s" CALL_DEVICE_PATH "</tt:XAddr>"
		   "<tt:Network><tt:IPFilter>false</tt:IPFilter>"
		   "<tt:ZeroConfiguration>false</tt:ZeroConfiguration>"
		   "<tt:IPVersion6>false</tt:IPVersion6><tt:DynDNS>false</tt:DynDNS></tt:Network>"
		   "<tt:System><tt:DiscoveryResolve>%s</tt:DiscoveryResolve>"
		   "<tt:DiscoveryBye>%s</tt:DiscoveryBye>"
		   "<tt:RemoteDiscovery>false</tt:RemoteDiscovery>"
		   "<tt:SystemBackup>false</tt:SystemBackup>"
		   "<tt:SystemLogging>false</tt:SystemLogging>"
		   "<tt:FirmwareUpgrade>false</tt:FirmwareUpgrade>"
		   "<tt:SupportedVersions><tt:Major>%d</tt:Major><tt:Minor>%d</tt:Minor>"
		   "</tt:SupportedVersions></tt:System>",
		   call->base, discovers ? "true" : "false", discovers ? "true" : "false",
		   CALL_VERSION_MAJOR, CALL_VERSION_MINOR);
	markup_add(out, "<tt:IO><tt:InputConnectors>0</tt:InputConnectors>"
			"<tt:RelayOutputs>0</tt:RelayOutputs></tt:IO>"
			"<tt:Security><tt:TLS1.1>false</tt:TLS1.1><tt:TLS1.2>false</tt:TLS1.2>"
			"<tt:OnboardKeyGeneration>false</tt:OnboardKeyGeneration>"
			"<tt:AccessPolicyConfig>false</tt:AccessPolicyConfig>"
			"<tt:X.509Token>false</tt:X.509Token><tt:SAMLToken>false</tt:SAMLToken>"
			"<tt:KerberosToken>false</tt:KerberosToken><tt:RELToken>false</tt:RELToken>"
			"</tt:Security></tt:Device>");
	if (call_has_imaging(call))
		markup_add(out,
			   "<tt:Imaging><tt:XAddr>%s" CALL_IMAGING_PATH "</tt:XAddr></tt:Imaging>",
			   call->base);
	markup_add(out, "<tt:Media><tt:XAddr>%s" CALL_MEDIA_PATH "</tt:XAddr>", call->base);
	add_streaming(out);
	markup_add(out, "</tt:Media></tds:Capabilities>");
	return CALL_OK;
}

static void add_service(struct call *call, const char *space, const char *path)
{
	markup_add(&call->out,
		   "<tds:Service><tds:Namespace>%s</tds:Namespace><tds:XAddr>%s%s</tds:XAddr>"
		   "<tds:Version><tt:Major>%d</tt:Major><tt:Minor>%d</tt:Minor></tds:Version>"
		   "</tds:Service>",
		   space, call->base, path, CALL_VERSION_MAJOR, CALL_VERSION_MINOR);
}

static enum call_fault get_services(struct call *call)
{
	add_service(call, CALL_DEVICE, CALL_DEVICE_PATH);
	add_service(call, CALL_MEDIA, CALL_MEDIA_PATH);
	if (call_has_imaging(call))
		add_service(call, CALL_IMAGING, CALL_IMAGING_PATH);
	return CALL_OK;
}

static enum call_fault get_service_capabilities(struct call *call)
{
	bool discovers = config_of(call)->onvif.discovery;

	markup_add(&call->out,
		   "<tds:Capabilities><tds:Network NTP=\"0\" IPFilter=\"false\" DynDNS=\"false\" "
		   "ZeroConfiguration=\"false\" IPVersion6=\"false\"/>"
		   "<tds:Security TLS1.0=\"false\" TLS1.1=\"false\" TLS1.2=\"false\" "
		   "UsernameToken=\"true\" HttpDigest=\"false\" AccessPolicyConfig=\"false\" "
		   "OnboardKeyGeneration=\"false\"/>"
		   "<tds:System DiscoveryResolve=\"%s\" DiscoveryBye=\"%s\" "
		   "RemoteDiscovery=\"false\" SystemBackup=\"false\" SystemLogging=\"false\" "
		   "FirmwareUpgrade=\"false\"/></tds:Capabilities>",
		   discovers ? "true" : "false", discovers ? "true" : "false");
	return CALL_OK;
}

static enum call_fault get_wsdl_url(struct call *call)
{
	markup_add(&call->out,
		   "<tds:WsdlUrl>http://www.onvif.org/ver10/device/wsdl/</tds:WsdlUrl>");
	return CALL_OK;
}

static enum call_fault get_endpoint_reference(struct call *call)
{
	char uuid[IDENTITY_UUID_MAX];

	identity_uuid(uuid, config_of(call));
	markup_add(&call->out, "<tds:GUID>urn:uuid:%s</tds:GUID>", uuid);
	return CALL_OK;
}

/* --- how it is found --- */

static enum call_fault get_scopes(struct call *call)
{
	struct identity_interface interfaces[IDENTITY_INTERFACES_MAX];
	size_t n = identity_interfaces(interfaces, call->host);
	char scopes[IDENTITY_SCOPES_MAX], *rest = scopes, *scope;

	identity_scopes(scopes, config_of(call), n ? interfaces[0].mac : "");
	while ((scope = strsep(&rest, " ")))
		markup_add(&call->out,
			   "<tds:Scopes><tt:ScopeDef>Fixed</tt:ScopeDef>"
			   "<tt:ScopeItem>%s</tt:ScopeItem></tds:Scopes>",
			   scope);
	return CALL_OK;
}

static enum call_fault get_discovery_mode(struct call *call)
{
	markup_add(&call->out, "<tds:DiscoveryMode>%s</tds:DiscoveryMode>",
		   config_of(call)->onvif.discovery ? "Discoverable" : "NonDiscoverable");
	return CALL_OK;
}

/* --- its network; it is set up elsewhere, so that what is not known here is left out --- */

static enum call_fault get_network_interfaces(struct call *call)
{
	struct identity_interface interfaces[IDENTITY_INTERFACES_MAX];
	size_t n = identity_interfaces(interfaces, call->host);

	for (size_t i = 0; i < n; i++) {
		const struct identity_interface *one = &interfaces[i];

		markup_add(&call->out,
			   "<tds:NetworkInterfaces token=\"%s\"><tt:Enabled>true</tt:Enabled>"
			   "<tt:Info><tt:Name>%s</tt:Name><tt:HwAddress>%s</tt:HwAddress>"
			   "<tt:MTU>%d</tt:MTU></tt:Info>",
			   one->name, one->name, one->mac, one->mtu);
		if (one->address[0])
			markup_add(&call->out,
				   "<tt:IPv4><tt:Enabled>true</tt:Enabled><tt:Config><tt:Manual>"
				   "<tt:Address>%s</tt:Address>"
				   "<tt:PrefixLength>%d</tt:PrefixLength></tt:Manual>"
				   "<tt:DHCP>false</tt:DHCP></tt:Config></tt:IPv4>",
				   one->address, one->bits);
		markup_add(&call->out, "</tds:NetworkInterfaces>");
	}
	return CALL_OK;
}

static void add_protocol(struct markup *out, const char *name, unsigned port)
{
	markup_add(out,
		   "<tds:NetworkProtocols><tt:Name>%s</tt:Name><tt:Enabled>true</tt:Enabled>"
		   "<tt:Port>%u</tt:Port></tds:NetworkProtocols>",
		   name, port);
}

static enum call_fault get_network_protocols(struct call *call)
{
	bool tls = config_of(call)->daemon.tls == CONFIG_TLS_YES;
	const char *colon = strrchr(call->base, ':');
	const char *port = colon && !strpbrk(colon, "/]") ? colon + 1 : tls ? "443" : "80";
	unsigned number = 0;

	sscanf(port, "%5u", &number);
	add_protocol(&call->out, tls ? "HTTPS" : "HTTP", number);
	add_protocol(&call->out, "RTSP", call->options->cameras->rtsp_port);
	return CALL_OK;
}

static enum call_fault get_hostname(struct call *call)
{
	char name[256] = "";

	gethostname(name, sizeof name - 1);
	markup_add(&call->out,
		   "<tds:HostnameInformation><tt:FromDHCP>false</tt:FromDHCP><tt:Name>%s</tt:Name>"
		   "</tds:HostnameInformation>",
		   name);
	return CALL_OK;
}

static enum call_fault get_dns(struct call *call)
{
	markup_add(&call->out, "<tds:DNSInformation><tt:FromDHCP>false</tt:FromDHCP>"
			       "</tds:DNSInformation>");
	return CALL_OK;
}

static enum call_fault get_ntp(struct call *call)
{
	markup_add(&call->out, "<tds:NTPInformation><tt:FromDHCP>false</tt:FromDHCP>"
			       "</tds:NTPInformation>");
	return CALL_OK;
}

static enum call_fault get_network_default_gateway(struct call *call)
{
	markup_add(&call->out, "<tds:NetworkGateway/>");
	return CALL_OK;
}

const struct call_row device_rows[] = {
	{"GetSystemDateAndTime", 0, get_system_date_and_time},
	{"GetCapabilities", 0, get_capabilities},
	{"GetServices", 0, get_services},
	{"GetServiceCapabilities", 0, get_service_capabilities},
	{"GetWsdlUrl", 0, get_wsdl_url},
	{"GetEndpointReference", 0, get_endpoint_reference},
	{"GetDeviceInformation", CONFIG_MAY_VIEW, get_device_information},
	{"GetScopes", CONFIG_MAY_VIEW, get_scopes},
	{"GetDiscoveryMode", CONFIG_MAY_VIEW, get_discovery_mode},
	{"GetNetworkInterfaces", CONFIG_MAY_VIEW, get_network_interfaces},
	{"GetNetworkProtocols", CONFIG_MAY_VIEW, get_network_protocols},
	{"GetNetworkDefaultGateway", CONFIG_MAY_VIEW, get_network_default_gateway},
	{"GetHostname", 0, get_hostname},
	{"GetDNS", CONFIG_MAY_VIEW, get_dns},
	{"GetNTP", CONFIG_MAY_VIEW, get_ntp},
	{"GetRelayOutputs", CONFIG_MAY_VIEW, call_answer_nothing},
};
const size_t n_device_rows = sizeof device_rows / sizeof *device_rows;
